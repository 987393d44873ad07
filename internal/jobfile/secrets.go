package jobfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxSecret bounds the file of one secret.
const maxSecret = 64 << 10

// Env looks up an environment variable, as os.LookupEnv does.
type Env func(name string) (value string, found bool)

// CheckSecrets verifies that every secret of the job file can be resolved
// here. Its Errors name each that can't with its place, never a value.
func (s *Source) CheckSecrets(env Env) error {
	var errs Errors
	for _, secret := range s.secrets {
		if _, err := lookup(secret.ref, env); err != nil {
			errs = append(errs, &Error{File: s.File, Line: secret.pos.Line, Col: secret.pos.Col, Path: secret.path, Msg: secret.path + ": " + err.Error()})
		}
	}
	return errs.sorted()
}

// SecretNames are the secrets of the job file, sorted, each once: the name of an
// environment variable, or file:/path.
func (s *Source) SecretNames() []string {
	var names []string
	for _, secret := range s.secrets {
		names = append(names, secret.ref)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Lacking says which secrets, by their names as of [Source.SecretNames], have no
// value here. The error names each, nil if none lacks.
func Lacking(names []string, env Env) error {
	var errs []error
	for _, name := range names {
		if _, err := lookup(name, env); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Resolve fills the secrets of one value in. An error names the secret, never
// a value; what is filled in is not looked at again.
func Resolve(value string, env Env) (string, error) {
	if !strings.Contains(value, "${") {
		return value, nil
	}
	parts, err := segments(value)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.literal)
		if p.ref == "" {
			continue
		}
		v, err := lookup(p.ref, env)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// HoldsSecret reports whether a value of a job file has a secret to fill in.
func HoldsSecret(value string) bool {
	parts, err := segments(value)
	return err == nil && slices.ContainsFunc(parts, func(p segment) bool { return p.ref != "" })
}

// Secrets are the values that [Resolve] fills into one value, in order.
func Secrets(value string, env Env) (filled []string, err error) {
	parts, err := segments(value)
	for _, p := range parts {
		if p.ref == "" || err != nil {
			continue
		}
		var v string
		if v, err = lookup(p.ref, env); err == nil {
			filled = append(filled, v)
		}
	}
	return filled, err
}

// resolveJSON fills in the secrets of every text in a JSON value (a sink's
// config); keys are left alone.
func resolveJSON(config json.RawMessage, env Env) (json.RawMessage, error) {
	if len(config) == 0 {
		return config, nil
	}
	d := json.NewDecoder(strings.NewReader(string(config)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	v, err := resolveAny(v, env)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func resolveAny(v any, env Env) (_ any, err error) {
	switch v := v.(type) {
	case string:
		return Resolve(v, env)
	case []any:
		for i := range v {
			if v[i], err = resolveAny(v[i], env); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = resolveAny(v[k], env); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// lookup finds one secret. A file's last line break is not part of it.
func lookup(ref string, env Env) (string, error) {
	path, isFile := strings.CutPrefix(ref, "file:")
	if !isFile {
		if strings.HasPrefix(ref, "param.") {
			return "", fmt.Errorf("${%s} was not filled in; expected --param %s=VALUE", ref, strings.TrimPrefix(ref, "param."))
		}
		v, found := env(ref)
		if !found {
			return "", fmt.Errorf("${%s} has no value; expected an environment variable of that name", ref)
		}
		return v, nil
	}
	v, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("${%s} can't be read: %w", ref, err)
	}
	return v, nil
}

func readSecret(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("more than %d bytes; expected a secret", maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
