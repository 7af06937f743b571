package dataset

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/draw"
)

const (
	// maxFileBytes bounds one image file. 64 megapixels of 16-bit colour are
	// 400 MB raw and far less as PNG.
	maxFileBytes = 256 << 20
	// maxPixels bounds one decoded image, and all that are being decoded at
	// the same time. A pixel takes up to 16 bytes on the way (progressive
	// JPEG): 1 GiB.
	maxPixels = 64 << 20
	// maxFileSide bounds each side of an image file: the filter's memory is the
	// source's height times the destination's width.
	maxFileSide = 1 << 15
)

// codec is one of the two file formats.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

// sniff goes by the first bytes and not by the name: images of one kind with
// the extension of the other are common. It does not use image.Decode, whose
// formats depend on what else a program links.
func sniff(head []byte) (codec, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return codec{png.DecodeConfig, png.Decode}, nil
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return codec{jpeg.DecodeConfig, jpeg.Decode}, nil
	}
	return codec{}, fmt.Errorf("%w: neither a PNG nor a JPEG image", ErrFormat)
}

// header is what is known of an image before it is decoded.
type header struct {
	w, h int
	deep bool // 16 bits a channel
}

// cost is the memory of decoding and resizing to s, in pixels of 16 bytes. The
// filter keeps four float64 for every source row and destination column.
func (h header) cost(s Shape) int64 {
	return min(maxPixels, int64(h.w)*int64(h.h)+2*int64(h.h)*int64(s.W))
}

// probe reads the header of an image file and refuses what must not be decoded.
func probe(name string) (header, error) {
	f, size, err := openRegular(name)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	if size > maxFileBytes {
		return header{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, size, maxFileBytes)
	}
	b := bufio.NewReader(f)
	head, _ := b.Peek(8)
	c, err := sniff(head)
	if err != nil {
		return header{}, err
	}
	cfg, err := c.config(b)
	if err != nil {
		return header{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return checkConfig(cfg)
}

func checkConfig(cfg image.Config) (header, error) {
	if cfg.Width < 1 || cfg.Height < 1 {
		return header{}, fmt.Errorf("%w: %d x %d pixels", ErrFormat, cfg.Width, cfg.Height)
	}
	if cfg.Width > maxFileSide || cfg.Height > maxFileSide || cfg.Width*cfg.Height > maxPixels {
		return header{}, fmt.Errorf("%w: %d x %d pixels, want at most %d a side and %d million in all", ErrTooLarge, cfg.Width, cfg.Height, maxFileSide, maxPixels>>20)
	}
	h := header{w: cfg.Width, h: cfg.Height}
	switch cfg.ColorModel {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		h.deep = true
	}
	return h, nil
}

// openRegular opens a file, but never waits on a pipe or a device.
func openRegular(name string) (*os.File, int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: not a regular file", ErrFormat)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// decode reads an image of which probe gave the header. The file may have
// changed since: everything is checked again.
func decode(name string, want header) (image.Image, error) {
	f, _, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxFileBytes)
	}
	c, err := sniff(data)
	if err != nil {
		return nil, err
	}
	cfg, err := c.config(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if got, err := checkConfig(cfg); err != nil {
		return nil, err
	} else if got != want {
		return nil, fmt.Errorf("%w: the file changed while it was read", ErrFormat)
	}
	m, err := c.decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return m, nil
}

// store8 writes m to dst as (C, H, W) of the shape s. See OpenFolder for what
// happens to size, colour and transparency.
func store8(dst []uint8, s Shape, m image.Image) {
	size := m.Bounds().Size()
	if g, ok := m.(*image.Gray); ok && s.C == 1 && size == (image.Point{X: s.W, Y: s.H}) {
		for y := range s.H {
			copy(dst[y*s.W:][:s.W], g.Pix[y*g.Stride:][:s.W])
		}
		return
	}
	rgba := image.NewRGBA(image.Rect(0, 0, s.W, s.H))
	fit(rgba, m)
	plane := s.H * s.W
	for j := range plane {
		r, g, b := rgba.Pix[4*j], rgba.Pix[4*j+1], rgba.Pix[4*j+2]
		if s.C == 3 {
			dst[j], dst[plane+j], dst[2*plane+j] = r, g, b
		} else {
			dst[j] = uint8(luma(uint32(r)*0x101, uint32(g)*0x101, uint32(b)*0x101) >> 8)
		}
	}
}

// store16 is store8 for 16 bits a channel.
func store16(dst []uint16, s Shape, m image.Image) {
	rgba := image.NewRGBA64(image.Rect(0, 0, s.W, s.H))
	fit(rgba, m)
	plane := s.H * s.W
	for j := range plane {
		p := rgba.RGBA64At(j%s.W, j/s.W)
		if s.C == 3 {
			dst[j], dst[plane+j], dst[2*plane+j] = p.R, p.G, p.B
		} else {
			dst[j] = luma(uint32(p.R), uint32(p.G), uint32(p.B))
		}
	}
}

// fit draws m over all of dst, which starts out black and transparent. Both
// images are premultiplied by alpha, so reading dst's colours alone is m on
// black.
func fit(dst stddraw.Image, m image.Image) {
	if dst.Bounds().Size() == m.Bounds().Size() {
		stddraw.Draw(dst, dst.Bounds(), m, m.Bounds().Min, stddraw.Src)
		return
	}
	draw.CatmullRom.Scale(dst, dst.Bounds(), m, m.Bounds(), draw.Src, nil)
}

// luma is the grey of a colour (ITU-R BT.601, as in PNG and JPEG tools), all
// in 16 bits. Equal channels give their own value back.
func luma(r, g, b uint32) uint16 {
	return uint16((19595*r + 38470*g + 7471*b + 1<<15) >> 16)
}
