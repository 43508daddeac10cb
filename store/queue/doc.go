// Package queue runs durable jobs over any relational store.
package queue
