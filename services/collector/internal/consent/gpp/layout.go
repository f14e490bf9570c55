package gpp

// Field is a question of the sections, by its name in the national one.
type Field int

// The fields, and other names they have in states.
const (
	SharingNotice Field = iota // ProcessingNotice
	SaleOptOutNotice
	SharingOptOutNotice
	TargetedAdvertisingOptOutNotice
	SensitiveDataProcessingOptOutNotice // SensitiveDataOptOutNotice
	SensitiveDataLimitUseNotice
	SaleOptOut
	SharingOptOut
	TargetedAdvertisingOptOut
	SensitiveDataProcessing
	KnownChildSensitiveDataConsents
	PersonalDataConsents // AdditionalDataProcessingConsent
	MspaCoveredTransaction
	MspaOptOutOptionMode
	MspaServiceProviderMode
	MspaMode
	fieldCount
)

// layout says where the answers of a core are.
type layout struct {
	// version is the version of the format; 0 where the core begins with that of the agreement (MSPA) instead.
	version int
	parts   [fieldCount]part
	// size is how many answers there are.
	size int
	// gpc tells that a segment with Global Privacy Control may follow.
	gpc bool
}

// part is where the answers of a field are: the first, how many.
type part struct{ at, count int }

// layoutOf returns the layout of a section, nil if the version is not known.
func layoutOf(id, version int) *layout {
	if id == firstUS && version == nationalOne.version {
		return nationalOne
	}
	if l := layouts[id-firstUS]; l.version == 0 || l.version == version {
		return l
	}
	return nil
}

var nationalOne = national(1, 12, 2)

// layouts are the newest of each section, from firstUS to lastUS.
var layouts = [...]*layout{
	national(2, 16, 3),
	california(),
	early(8, 1, false),       // Virginia
	early(7, 1, true),        // Colorado
	sensitiveOptOut(false),   // Utah
	early(8, 3, true),        // Connecticut
	state(8, 3, false),       // Florida
	state(8, 3, true),        // Montana
	state(11, 3, true),       // Oregon
	state(8, 1, true),        // Texas
	state(9, 5, true),        // Delaware
	sensitiveOptOut(true),    // Iowa
	state(8, 1, true),        // Nebraska
	state(8, 3, true),        // New Hampshire
	state(10, 5, true),       // New Jersey
	state(8, 1, true),        // Tennessee
	state(8, 1, true),        // Minnesota
	underAgreement(0, true),  // Maryland
	underAgreement(1, false), // Indiana
	underAgreement(1, false), // Kentucky
	underAgreement(1, false), // Rhode Island
}

func national(version, sensitive, children int) *layout {
	l := of(true, sensitive, children,
		SharingNotice, SaleOptOutNotice, SharingOptOutNotice, TargetedAdvertisingOptOutNotice, SensitiveDataProcessingOptOutNotice, SensitiveDataLimitUseNotice,
		SaleOptOut, SharingOptOut, TargetedAdvertisingOptOut, SensitiveDataProcessing, KnownChildSensitiveDataConsents, PersonalDataConsents,
		MspaCoveredTransaction, MspaOptOutOptionMode, MspaServiceProviderMode)
	l.version = version
	return l
}

func california() *layout {
	return of(true, 9, 2, SaleOptOutNotice, SharingOptOutNotice, SensitiveDataLimitUseNotice, SaleOptOut, SharingOptOut,
		SensitiveDataProcessing, KnownChildSensitiveDataConsents, PersonalDataConsents,
		MspaCoveredTransaction, MspaOptOutOptionMode, MspaServiceProviderMode)
}

// early is a state of 2023.
func early(sensitive, children int, gpc bool) *layout {
	return of(gpc, sensitive, children, SharingNotice, SaleOptOutNotice, TargetedAdvertisingOptOutNotice, SaleOptOut, TargetedAdvertisingOptOut,
		SensitiveDataProcessing, KnownChildSensitiveDataConsents, MspaCoveredTransaction, MspaOptOutOptionMode, MspaServiceProviderMode)
}

// sensitiveOptOut is a state where sensitive data may be processed until the visitor objects.
func sensitiveOptOut(gpc bool) *layout {
	return of(gpc, 8, 1, SharingNotice, SaleOptOutNotice, TargetedAdvertisingOptOutNotice, SensitiveDataProcessingOptOutNotice, SaleOptOut, TargetedAdvertisingOptOut,
		SensitiveDataProcessing, KnownChildSensitiveDataConsents, MspaCoveredTransaction, MspaOptOutOptionMode, MspaServiceProviderMode)
}

// state is one of 2024 and 2025.
func state(sensitive, children int, gpc bool) *layout {
	return of(gpc, sensitive, children, SharingNotice, SaleOptOutNotice, TargetedAdvertisingOptOutNotice, SaleOptOut, TargetedAdvertisingOptOut,
		SensitiveDataProcessing, KnownChildSensitiveDataConsents, PersonalDataConsents, MspaCoveredTransaction, MspaOptOutOptionMode, MspaServiceProviderMode)
}

// underAgreement is a state of 2026. Its answers on sensitive data are in a segment of their own, which is passed over.
func underAgreement(children int, gpc bool) *layout {
	fields := []Field{MspaCoveredTransaction, MspaMode, SharingNotice, SaleOptOutNotice, TargetedAdvertisingOptOutNotice, SaleOptOut, TargetedAdvertisingOptOut}
	if children > 0 {
		fields = append(fields, KnownChildSensitiveDataConsents)
	}
	l := of(gpc, 0, children, append(fields, PersonalDataConsents)...)
	l.version = 0
	return l
}

// of makes a layout of fields in their order. Each has one answer, save those on sensitive data and on children.
func of(gpc bool, sensitive, children int, fields ...Field) *layout {
	l := &layout{version: 1, gpc: gpc}
	for _, field := range fields {
		count := 1
		switch field {
		case SensitiveDataProcessing:
			count = sensitive
		case KnownChildSensitiveDataConsents:
			count = children
		}
		l.parts[field] = part{l.size, count}
		l.size += count
	}
	return l
}
