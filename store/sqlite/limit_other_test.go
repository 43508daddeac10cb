//go:build !unix

package sqlite_test

func limitFileSize() { panic("there is no limit for the size of files") }
