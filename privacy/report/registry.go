package report

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sotto-fl/sotto/privacy"
)

// registry is an entry of the OpenDP registry of deployments.
type registry struct {
	Product struct {
		Name            string   `yaml:"name"`
		Curators        []string `yaml:"curators"`
		IntendedUse     string   `yaml:"intended_use"`
		Type            string   `yaml:"data_product_type"`
		Region          string   `yaml:"data_product_region"`
		PublicationDate string   `yaml:"publication_date"`
		Sector          string   `yaml:"data_product_sector"`
	} `yaml:"product"`
	Flavor struct {
		Name          string `yaml:"name"`
		InputMetric   string `yaml:"input_metric"`
		BoundOnInput  string `yaml:"bound_on_input_distance"`
		OutputMeasure string `yaml:"output_measure"`
		BoundOnOutput string `yaml:"bound_on_output_distance"`
		DataDomain    string `yaml:"data_domain"`
		Unprotected   string `yaml:"unprotected_quantities"`
	} `yaml:"dp_flavor"`
	Loss struct {
		Unit        string         `yaml:"privacy_unit"`
		Description string         `yaml:"privacy_unit_description"`
		Parameters  map[string]any `yaml:"privacy_parameters"`
	} `yaml:"privacy_loss"`
	Model struct {
		Name    string   `yaml:"model_name"`
		Actors  []string `yaml:"actors"`
		Release string   `yaml:"release_type"`
		Source  string   `yaml:"data_source_type"`
		Access  string   `yaml:"access_type"`
	} `yaml:"model"`
	Accounting struct {
		PostProcessing string `yaml:"post_processing"`
		Composition    string `yaml:"composition"`
	} `yaml:"accounting"`
	Implementation struct {
		Tuning        string   `yaml:"pre_processing_eda_hyperparameter_tuning"`
		Mechanisms    []string `yaml:"mechanisms"`
		Justification string   `yaml:"justification"`
	} `yaml:"implementation"`
	Additional map[string]string `yaml:"additional_information"`
}

// Registry writes the entry for the OpenDP registry of deployments, as YAML. The tier is for the registry's editors
// to give, and is left out.
func (r *Report) Registry() ([]byte, error) {
	c := r.Contract
	var e registry
	e.Product.Name, e.Product.Curators, e.Product.IntendedUse = r.Title(), r.Study.Curators, r.Study.Purpose
	e.Product.Type, e.Product.Region, e.Product.Sector = "machine learning model, federated", r.Study.Region, r.Study.Sector
	e.Product.PublicationDate = r.Ledger.Last.Format("2006-01-02")

	e.Flavor.Name = "approximate differential privacy"
	e.Flavor.InputMetric = "zero-out: the unit stays in the pool with its public metadata and contributes zero"
	e.Flavor.BoundOnInput = "1"
	e.Flavor.OutputMeasure = "hockey-stick divergence"
	e.Flavor.DataDomain = r.Study.Data
	e.Flavor.Unprotected = "who takes part as an owner of data, numbers of records, sizes and times of messages"
	e.Loss.Unit, e.Loss.Description = c.Unit, unit(c)
	e.Model.Name = "distributed: noise is added in shares by the contributors"
	if c.None() {
		e.Flavor.Name, e.Flavor.BoundOnOutput = "none", "unbounded"
	} else {
		g := r.Against[0]
		e.Flavor.BoundOnOutput = fmt.Sprintf("(%.4g, %g)", float64(g.Spent.Upper), c.Delta)
		e.Loss.Parameters = map[string]any{
			"epsilon": float64(g.Spent.Upper), "delta": c.Delta, "epsilon_of_the_whole_plan": float64(g.Planned.Upper), "epsilon_budget": c.Epsilon,
			"epsilon_at_other_deltas": r.deltas(),
		}
		if r.Gaussian != nil {
			e.Loss.Parameters["rho"], e.Loss.Parameters["mu"] = r.Gaussian.Rho, r.Gaussian.Mu
		}
		if c.Lane == privacy.LocalDPSGD {
			e.Model.Name = "local: each contributor's noise is complete"
		}
		e.Accounting.Composition = fmt.Sprintf("%d rounds charged of %d; %s; bounds [%.6g, %.6g]", r.Budget.Charged, c.Rounds, g.Method, float64(g.Spent.Lower), float64(g.Spent.Upper))
	}
	for _, a := range r.Against {
		e.Model.Actors = append(e.Model.Actors, fmt.Sprintf("%s: epsilon %s at delta %g", a.Adversary, epsilonText(a.Spent.Upper), c.Delta))
	}
	e.Model.Release, e.Model.Source, e.Model.Access = "one model a round", "dynamic, held by its owners", "non-interactive"
	e.Accounting.PostProcessing = "the server's optimiser and everything after it; divisors are constants of the contract"
	e.Implementation.Tuning = "not in this ledger; runs that chose settings on the same data have ledgers of their own"
	if len(r.Notes) > 0 {
		e.Implementation.Tuning += "; notes: " + strings.Join(r.Notes, "; ")
	}
	e.Implementation.Mechanisms = []string{mechanism(c)}
	e.Implementation.Justification = "noise and sums are integers; no floating-point number touches noise; the sensitivity that is charged includes rounding"
	e.Additional = map[string]string{
		"ledger_records": fmt.Sprint(r.Ledger.Records), "ledger_root": r.Ledger.Root.String(), "ledger_key": r.Ledger.Key,
		"plan": r.Ledger.Plan.String(), "model": r.Ledger.Model.String(),
		"verification": "server verify recomputes every number from the ledger and the public key",
	}
	b, err := yaml.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("report for the registry: %w", err)
	}
	return b, nil
}

func (r *Report) deltas() map[string]float64 {
	m := map[string]float64{}
	for _, d := range r.Deltas {
		m[fmt.Sprintf("%.3g", d.Delta)] = float64(d.Upper)
	}
	return m
}

func mechanism(c privacy.Contract) string {
	if c.None() {
		return "none"
	}
	name := "discrete Gaussian"
	if c.Mechanism == privacy.Skellam {
		name = "Skellam"
	}
	s := fmt.Sprintf("%s noise of %g times the sensitivity on sums of contributions clipped to norm %g", name, c.Noise, c.Clip)
	if c.SamplingRate > 0 {
		s += fmt.Sprintf(", each from a Poisson sample at rate %g", c.SamplingRate)
	}
	return s
}
