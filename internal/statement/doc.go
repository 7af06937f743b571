// Package statement turns what is signed or hashed into bytes, and back.
//
// A statement is a label and a sequence of fields. The label names the kind and
// its version ("sotto/header/v1"), so that a signature under one kind can never
// be taken for one under another. The encoding is injective: integers have eight
// bytes, everything of variable length is preceded by its length in four, lists by
// their count in four, all big-endian. For one label the sequence of fields is
// fixed, so equal bytes mean equal values, and there is exactly one encoding of a
// value. It is not protobuf, whose encoders may differ in order, defaults and
// unknown fields.
//
// Readers are strict and bounded: a length is compared with what is present and
// with the field's limit before a byte is copied, and bytes after the last field
// are an error. They never panic and never allocate more than the input's size.
//
// Hashes are SHA-256 (FIPS 180-4), signatures Ed25519 (RFC 8032) over the
// statement itself.
package statement
