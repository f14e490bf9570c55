// Writes GPP strings, one JSON object a line: the text as the IAB Tech Lab's own library encodes it, and what the library
// reads in it. Run in a folder with @iabgpp/cmpapi: node generate.mjs COUNT SEED
import { createRequire } from "node:module";

const iab = createRequire(process.cwd() + "/")("@iabgpp/cmpapi");
const [count, seed] = process.argv.slice(2).map(Number);

// mulberry32: the same seed, the same strings, but for the day in TC strings.
let state = seed >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const chance = (p) => random() < p;
const flags = (n) => Array.from({ length: n }, () => chance(0.4));
const ids = (max, p) => Array.from({ length: max }, (_, i) => i + 1).filter(() => chance(p));

const states = iab.Sections.SECTION_ORDER.filter((name) => /^us(nat|..)$/.test(name));

function fill(model, name) {
  model.setFieldValue(name, name === "uspv1" ? "Notice" : "SaleOptOut", name === "uspv1" ? "Y" : 1); // makes the section
  for (const [field, now] of Object.entries(model.getSection(name))) {
    if (field === "GpcSegmentType" || field === "Version" || field === "LspaCovered") continue;
    let value = below(3);
    if (Array.isArray(now)) value = now.map(() => below(3));
    if (field === "Gpc") value = chance(0.5);
    if (field === "MspaCoveredTransaction") value = 1 + below(2);
    if (field === "MspaVersion") value = 1 + below(5);
    if (field === "Notice" || field === "OptOutSale") value = "YN-"[below(3)];
    model.setFieldValue(name, field, value);
  }
  for (const field of ["GpcSegmentIncluded", "SensitiveDataConsentSegmentIncluded"]) {
    if (model.hasField(name, field)) model.setFieldValue(name, field, chance(0.5));
  }
  if (name === "usnat") model.setFieldValue(name, "Version", 1 + below(2));
}

function fillTCF(model) {
  const set = (field, value) => model.setFieldValue("tcfeuv2", field, value);
  set("PurposeConsents", flags(24));
  set("PurposeLegitimateInterests", flags(24));
  set("SpecialFeatureOptins", flags(12));
  set("VendorConsents", ids(below(200), 0.3));
  set("VendorsDisclosed", ids(below(200), 0.6));
  set("PublisherConsents", flags(24));
  set("PolicyVersion", below(64));
}

const numbers = (fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, [].concat(value).map(Number)]));
const members = (list) => list.flatMap((on, i) => (on ? [i + 1] : []));

for (let n = 0; n < count; n++) {
  const from = new iab.GppModel();
  const each = [0.04, 0.1, 0.6][below(3)];
  if (chance(0.2)) fillTCF(from);
  if (chance(0.1)) fill(from, "uspv1");
  for (const name of states) if (chance(each)) fill(from, name);
  const text = from.encode();
  const read = new iab.GppModel(text);
  const object = read.toObject();
  const known = { text, ids: read.getSectionIds(), usPrivacy: read.hasSection("uspv1") ? read.getSection("uspv1") : null, sections: [], tcf: null };
  for (const name of states) {
    if (object[name]) known.sections.push({ id: iab[Object.keys(iab).find((k) => iab[k].NAME === name)].ID, fields: numbers(object[name]) });
  }
  if (object.tcfeuv2) {
    const t = object.tcfeuv2;
    known.tcf = {
      policy: t.PolicyVersion, consents: members(t.PurposeConsents), interests: members(t.PurposeLegitimateInterests),
      features: members(t.SpecialFeatureOptins), publisher: members(t.PublisherConsents), vendors: t.VendorConsents, disclosed: t.VendorsDisclosed,
    };
  }
  // A header alone, with ids that are not given out yet too.
  const header = new iab.HeaderV1();
  header.setFieldValue("SectionIds", ids(63, [0.02, 0.3, 0.8][below(3)]).concat(chance(0.3) ? [64 + below(4000)] : []));
  known.header = header.encode();
  known.headerIDs = new iab.HeaderV1(known.header).getFieldValue("SectionIds");
  console.log(JSON.stringify(known));
}
