// Writes TC strings, one JSON object a line: the text as IAB Europe's own library encodes it, and what the library reads in
// it. Run in a folder with @iabtcf/core: node generate.mjs COUNT SEED
import { createRequire } from "node:module";

const iab = createRequire(process.cwd() + "/")("@iabtcf/core");
const [count, seed] = process.argv.slice(2).map(Number);

// mulberry32: the same seed, the same strings.
let state = seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const letters = () => String.fromCharCode(65 + below(26), 65 + below(26));
const chance = (p) => random() < p;

// some returns numbers up to max: none, all, few, many or blocks of them, so that bit fields and ranges both come.
function some(max) {
  const all = Array.from({ length: max }, (_, i) => i + 1);
  switch (below(5)) {
    case 0: return [];
    case 1: return all;
    case 2: return all.filter(() => chance(0.02));
    case 3: return all.filter(() => chance(0.6));
  }
  const from = 1 + below(max);
  return all.filter((n) => n >= from && n <= from + below(max));
}

function model() {
  const m = new iab.TCModel();
  const day = new Date(Date.UTC(2020 + below(7), below(12), 1 + below(28)));
  m.created = day;
  m.lastUpdated = day;
  m.cmpId = 2 + below(4000);
  m.cmpVersion = 1 + below(4000);
  m.consentScreen = below(64);
  m.consentLanguage = letters();
  m.publisherCountryCode = letters();
  m.vendorListVersion = below(4096);
  m.policyVersion = below(64);
  m.isServiceSpecific = chance(0.8);
  m.useNonStandardStacks = chance(0.2);
  m.purposeOneTreatment = chance(0.2);
  m.specialFeatureOptins.set(some(12));
  m.purposeConsents.set(some(24));
  m.purposeLegitimateInterests.set(some(24));
  const vendors = [10, 100, 300, 1500, 4000][chance(0.01) ? 4 : below(4)];
  m.vendorConsents.set(some(vendors));
  m.vendorLegitimateInterests.set(some(Math.min(vendors, 1500)));
  m.vendorsDisclosed.set(some(Math.min(vendors, 1500)));
  m.vendorsAllowed.set(some(50));
  m.publisherConsents.set(some(24));
  m.publisherLegitimateInterests.set(some(24));
  m.numCustomPurposes = below(64);
  if (m.numCustomPurposes) {
    m.publisherCustomConsents.set(some(m.numCustomPurposes));
    m.publisherCustomLegitimateInterests.set(some(m.numCustomPurposes));
  }
  for (let i = chance(0.5) ? below(6) : 0; i > 0; i--) {
    const restriction = new iab.PurposeRestriction(1 + below(11), below(3));
    for (const id of some(60)) m.publisherRestrictions.add(id, restriction);
  }
  // Only the encoder asks for the vendor list here: which ids there are, to close gaps in ranges. All.
  m.publisherRestrictions.gvl_ = { vendorIds: new Set(Array.from({ length: 100 }, (_, i) => i + 1)) };
  return m;
}

const members = (vector) => {
  const ids = [];
  vector.forEach((on, id) => { if (on) ids.push(id); });
  return ids;
};

for (let n = 0; n < count; n++) {
  const from = model();
  const segments = ["core", ...["vendorsDisclosed", "vendorsAllowed", "publisherTC"].filter(() => chance(0.6))];
  if (chance(0.3)) segments.splice(1, Infinity, ...segments.slice(1).reverse());
  const text = segments.map((s) => iab.SegmentEncoder.encode(from, s)).join(".");
  const m = iab.TCString.decode(text);
  const restrictions = [];
  for (const r of m.publisherRestrictions.getRestrictions()) {
    restrictions.push({ purpose: r.purposeId, type: r.restrictionType, vendors: m.publisherRestrictions.getVendors(r) });
  }
  console.log(JSON.stringify({
    text, created: +m.created, updated: +m.lastUpdated, cmp: m.cmpId, cmpVersion: m.cmpVersion, screen: m.consentScreen,
    language: m.consentLanguage, country: m.publisherCountryCode, list: m.vendorListVersion, policy: m.policyVersion,
    serviceSpecific: m.isServiceSpecific, nonStandard: m.useNonStandardStacks, oneTreatment: m.purposeOneTreatment,
    disclosedSegment: segments.includes("vendorsDisclosed"), publisherSegment: segments.includes("publisherTC"),
    customs: m.numCustomPurposes, restrictions,
    sets: {
      features: members(m.specialFeatureOptins), consents: members(m.purposeConsents), interests: members(m.purposeLegitimateInterests),
      publisherConsents: members(m.publisherConsents), publisherInterests: members(m.publisherLegitimateInterests),
      customConsents: members(m.publisherCustomConsents), customInterests: members(m.publisherCustomLegitimateInterests),
      vendorConsents: members(m.vendorConsents), vendorInterests: members(m.vendorLegitimateInterests), disclosed: members(m.vendorsDisclosed),
    },
  }));
}
