// Command gen writes the assembly of model/kernel. It is a module of its own, so
// that the main module does not depend on avo.
package main

import (
	"flag"
	"log"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	family := flag.String("family", "", "tile, sparse, list, element or pooled")
	width := flag.Int("width", 512, "bits of a vector: 512 or 256")
	flag.Parse()
	v := isa{name: "512", lanes: 16}
	if *width == 256 {
		v = isa{name: "256", lanes: 8}
	}
	switch *family {
	case "tile":
		tiles(v)
	case "sparse":
		sparse(v)
	case "pooled":
		pooled(v)
	case "list":
		lists(v)
	case "element":
		elements(v)
	default:
		log.Fatalf("unknown family %q", *family)
	}
	build.Generate()
}
