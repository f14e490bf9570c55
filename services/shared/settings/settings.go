// Package settings describes the settings of a service.
package settings
