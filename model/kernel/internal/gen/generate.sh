#!/bin/sh
# Writes every generated file of model/kernel. Run by go generate there.
set -e
cd "$(dirname "$0")"
for width in 512 256; do
	for family in tile sparse list element; do
		go run . -family $family -width $width -pkg kernel \
			-out ../../${family}${width}_amd64.s -stubs ../../${family}${width}_amd64.go
	done
done
go run . -family pooled -width 256 -pkg kernel -out ../../pooled256_amd64.s -stubs ../../pooled256_amd64.go
