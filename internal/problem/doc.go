// Package problem describes the problems that package platform answers with, and
// bounds how many lines of them a log gets.
package problem
