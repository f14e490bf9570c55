package urlpattern

// CertainParts is for tests, which want to know them.
var CertainParts = certainParts
