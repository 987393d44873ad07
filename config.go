package harrow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// ConfigError is an error of a plug-in's config that is about one of its keys:
// messages then name the place in the job file.
type ConfigError struct {
	Key string // "path", "partition_by[0]"; empty: the job doesn't fit what is there
	Err error
}

// Error returns the key and what is wrong with it.
func (e *ConfigError) Error() string {
	if e.Key == "" {
		return e.Err.Error()
	}
	return e.Key + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// ReadConfig reads a plug-in's config into a pointer to a struct, whose json
// tags name the keys. Null or nothing leaves it as it is, and so does a key
// that is absent: what the struct held before is the default. An unknown key
// and a value of another type are a [ConfigError].
func ReadConfig(config json.RawMessage, into any) error {
	if len(bytes.TrimSpace(config)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	keys := strings.Join(configKeys(into), ", ")
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		if wrong.Field == "" {
			return fmt.Errorf("got %s; expected a mapping of %s", wrong.Value, keys)
		}
		return &ConfigError{wrong.Field, fmt.Errorf("got %s; expected %s", wrong.Value, describeGo(wrong.Type))}
	}
	if _, quoted, ok := strings.Cut(err.Error(), "unknown field "); ok {
		if key, uerr := strconv.Unquote(quoted); uerr == nil {
			return &ConfigError{key, fmt.Errorf("unknown key; expected %s", keys)}
		}
	}
	return fmt.Errorf("config: %w; expected a mapping of %s", err, keys)
}

// configKeys are the keys of a struct.
func configKeys(of any) (keys []string) {
	t := reflect.TypeOf(of)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return []string{t.String()}
	}
	for _, f := range reflect.VisibleFields(t.Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && name != "" && name != "-" {
			keys = append(keys, name)
		}
	}
	return keys
}

func describeGo(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	}
	return t.String()
}
