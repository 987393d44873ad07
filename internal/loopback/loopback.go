// Package loopback closes to other machines what listens on all of this one's
// addresses without a way to say otherwise, as Beam's job services do. Who
// reaches such a service may have it run whatever he likes.
package loopback

import "fmt"

// Warn is what to say of a service that other machines reach, and why they do:
// what [Only] returned.
func Warn(service string, err error) string {
	return fmt.Sprintf("%s listens on all of this machine's addresses, and can't be kept from it: %v", service, err)
}
