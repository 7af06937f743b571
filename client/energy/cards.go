package energy

import (
	"time"

	"github.com/sotto-fl/sotto/internal/costcurve"
)

// openCards finds graphics cards that count their own energy. It is set in builds with the
// tag nvml; others leave cards to those who measure them from outside (ParseReplay).
var openCards func() (source, error)

// beside adds cards to a source that does not cover them. They are never measured alone:
// work runs on processors here, and the joules of a card are not those of the work.
type beside struct {
	source
	cards source
}

func (b *beside) name() string { return b.source.name() + " and " + b.cards.name() }

func (b *beside) quality() (costcurve.Tier, float64) {
	tier, err := b.source.quality()
	t, e := b.cards.quality()
	return max(tier, t), max(err, e)
}

func (b *beside) start() error {
	if err := b.source.start(); err != nil {
		return err
	}
	return b.cards.start()
}

func (b *beside) joules(dt time.Duration) (float64, error) {
	j, err := b.source.joules(dt)
	if err != nil {
		return 0, err
	}
	c, err := b.cards.joules(dt)
	return j + c, err
}

func (b *beside) period() time.Duration { return min(b.source.period(), b.cards.period()) }

// addCards puts cards beside a source that is no meter of the whole machine.
func (m *Meter) addCards() {
	if openCards == nil {
		return
	}
	cards, err := openCards()
	if err != nil {
		m.note(err)
		return
	}
	if r, ok := m.source.(*rapl); !ok || len(r.levels[0]) > 0 { // a platform's zone may have them in it
		m.notes = append(m.notes, "cards: "+m.Source()+" covers them, or is no meter: they are not added to it")
		return
	}
	m.source = &beside{m.source, cards}
}
