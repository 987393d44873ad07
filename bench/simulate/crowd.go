package main

import (
	"math"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// crowd is the hosts of a simulation, the largest first. The host of rank r,
// from 0, has
//
//	largest · (1 + r/q)^-1.5
//
// requests, at least one: a power law in its tail, flat at its head, so that
// its largest host fits into the day. q makes them as many as are wanted.
type crowd struct {
	sizes []int32 // requests of each host, robots.txt aside
	total int64
	q     float64
}

const exponent = 1.5

// newCrowd has hosts with about requests in all, the largest with largest.
func newCrowd(hosts int, requests, largest int64) crowd {
	low, high := 0.001, float64(hosts)*1e6
	for range 200 { // bisection, on a logarithmic scale
		q := math.Sqrt(low * high)
		if sumOf(hosts, largest, q) < requests {
			low = q
		} else {
			high = q
		}
	}
	c := crowd{sizes: make([]int32, hosts), q: low}
	for r := range c.sizes {
		n := sizeOf(r, largest, low)
		c.sizes[r], c.total = int32(n), c.total+n
	}
	return c
}

func sizeOf(rank int, largest int64, q float64) int64 {
	return max(1, int64(math.Round(float64(largest)*math.Pow(1+float64(rank)/q, -exponent))))
}

func sumOf(hosts int, largest int64, q float64) (sum int64) {
	for r := range hosts {
		sum += sizeOf(r, largest, q)
	}
	return sum
}

// name is the host's; each has a registered domain of its own.
func name(rank int) string { return "host-" + strconv.Itoa(rank) + ".example" }

// spread gives each worker its hosts as fetch does: a host's fetch shard is the
// hash of its registered domain modulo their number, four times that of the
// workers, and each worker has four of them.
func spread(hosts, workers int) [][]int32 {
	shards := uint64(4 * workers)
	of := make([][]int32, workers)
	for r := range hosts {
		w := xxhash.Sum64String(name(r)) % shards % uint64(workers)
		of[w] = append(of[w], int32(r))
	}
	return of
}
