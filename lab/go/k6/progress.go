package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"go.k6.io/k6/output"
)

// The script counts each answer in this metric, with these tags; k6 itself takes the times.
const (
	metricName   = "answers"
	versionTag   = "version"
	failedTag    = "failed"
	timesName    = "http_req_duration"
	defaultEvery = 5 * time.Second
)

// Times are counted in buckets whose bounds grow by this factor, so that the lines of any stretch add up to its
// quantiles, to within 2 %.
const growth = 1.02

// progress writes one JSON line an interval: the answers by version since the line before, and their times.
type progress struct {
	output.SampleBuffer
	every   time.Duration
	out     io.Writer
	started time.Time
	flusher *output.PeriodicFlusher
}

type line struct {
	Event    string           `json:"event"`
	Seconds  float64          `json:"seconds"` // since the start
	Requests int              `json:"requests"`
	Failed   int              `json:"failed"`
	Versions map[string]count `json:"versions"`
	Times    map[string]int   `json:"times"` // upper bound of a bucket in milliseconds -> answers
}

type count struct {
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
}

// newProgress reads `--out progress=INTERVAL`.
func newProgress(params output.Params) (output.Output, error) {
	every := defaultEvery
	if params.ConfigArgument != "" {
		given, err := time.ParseDuration(params.ConfigArgument)
		if err != nil || given <= 0 {
			return nil, fmt.Errorf("--out progress=%s: use a duration such as 5s", params.ConfigArgument)
		}
		every = given
	}
	return &progress{every: every, out: params.StdOut}, nil
}

func (p *progress) Description() string {
	return fmt.Sprintf("progress every %s", p.every)
}

func (p *progress) Start() error {
	p.started = time.Now()
	flusher, err := output.NewPeriodicFlusher(p.every, p.flush)
	p.flusher = flusher
	return err
}

// Stop writes what is left, so that the lines add up to the whole run.
func (p *progress) Stop() error {
	p.flusher.Stop()
	return nil
}

func (p *progress) flush() {
	report := line{Event: "progress", Versions: map[string]count{}, Times: map[string]int{}}
	for _, container := range p.GetBufferedSamples() {
		for _, sample := range container.GetSamples() {
			switch sample.Metric.Name {
			case metricName:
				version, _ := sample.Tags.Get(versionTag)
				failed, _ := sample.Tags.Get(failedTag)
				report.add(version, failed == "true")
			case timesName:
				report.Times[bucket(sample.Value)]++
			}
		}
	}
	report.Seconds = float64(time.Since(p.started).Milliseconds()) / 1000
	if text, err := json.Marshal(report); err == nil {
		fmt.Fprintln(p.out, string(text))
	}
}

func (l *line) add(version string, failed bool) {
	of := l.Versions[version]
	of.Requests++
	l.Requests++
	if failed {
		of.Failed++
		l.Failed++
	}
	l.Versions[version] = of
}

// bucket returns the upper bound of a time's bucket, as text: JSON has no other keys.
func bucket(milliseconds float64) string {
	if milliseconds <= 0 {
		return "0"
	}
	power := math.Ceil(math.Log(milliseconds) / math.Log(growth))
	return strconv.FormatFloat(math.Pow(growth, power), 'g', 5, 64)
}
