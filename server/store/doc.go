// Package store keeps what a server must not lose, in SQLite.
package store
