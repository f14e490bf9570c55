package enrich

import (
	"strings"

	useragent "github.com/medama-io/go-useragent"
)

// agentVersion is the version of go-useragent, whose lists the facts depend on; a test holds it to go.mod.
const agentVersion = "v1.2.5"

// The devices.
const (
	DeviceDesktop = "desktop"
	DeviceMobile  = "mobile"
	DeviceTablet  = "tablet"
	DeviceTV      = "tv"
	DeviceBot     = "bot"
	DeviceUnknown = "unknown"
)

// Devices are all words of Facts.Device.
var Devices = []string{DeviceDesktop, DeviceMobile, DeviceTablet, DeviceTV, DeviceBot, DeviceUnknown}

// agent is what a user agent says.
type agent struct {
	browser, browserVersion string
	os, osVersion           string
	device                  string
}

// agent reads the user agent of an event of that class. What a proxy says is not about the reader, so it is left out.
func (e *Enricher) agent(userAgent, class string) agent {
	if class == ClassMailProxy || class == ClassMachineOpen || class == ClassServer {
		return agent{device: DeviceUnknown}
	}
	parsed := e.agents.Parse(userAgent)
	a := agent{
		browser:        string(parsed.Browser()),
		browserVersion: parsed.BrowserVersion(),
		os:             string(parsed.OS()),
		device:         device(userAgent, parsed),
	}
	if a.os != "" {
		a.osVersion = osVersion(userAgent)
	}
	if isBot(class) && class != ClassPrefetch {
		a.device = DeviceBot
	}
	return a
}

// device corrects the library where it calls every Android a phone: tablets and television sets leave out "Mobile".
func device(userAgent string, parsed useragent.UserAgent) string {
	switch {
	case parsed.IsTV() || strings.Contains(userAgent, "SmartTV") || strings.Contains(userAgent, "; AFT"):
		return DeviceTV
	case parsed.IsTablet(), parsed.IsAndroidOS() && !strings.Contains(userAgent, "Mobile") && strings.Contains(userAgent, "Chrome/"):
		return DeviceTablet
	case parsed.IsMobile():
		return DeviceMobile
	case parsed.IsDesktop():
		return DeviceDesktop
	}
	return DeviceUnknown
}

// osMarkers stand before the version of the operating system. The first that occurs counts: "Windows Phone 10.0; Android
// 6.0" is a Windows Phone.
var osMarkers = []string{"Windows NT ", "Windows Phone ", "Android ", "iPhone OS ", "CPU OS ", "Mac OS X ", "CrOS x86_64 ", "CrOS aarch64 "}

// maxOSVersion bounds what a version may cost: versions are a column of few values.
const maxOSVersion = 16

// osVersion returns the digits after the marker, with dots: 10_15_7 is 10.15.7. Empty when there are none.
func osVersion(userAgent string) string {
	for _, marker := range osMarkers {
		_, after, found := strings.Cut(userAgent, marker)
		if !found {
			continue
		}
		end := 0
		for end < len(after) && end < maxOSVersion && strings.IndexByte("0123456789._", after[end]) >= 0 {
			end++
		}
		return strings.ReplaceAll(strings.TrimRight(after[:end], "._"), "_", ".")
	}
	return ""
}
