-- oldest consumer: 1
-- The goals of the site that a row matched when it was stored, one element each, in the order of the configuration.
ALTER TABLE {{.Facts}}.events {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS site_currency LowCardinality(String) COMMENT 'currency of the site' AFTER currency,
    ADD COLUMN IF NOT EXISTS `goals.id` Array(String),
    ADD COLUMN IF NOT EXISTS `goals.once_per` Array(LowCardinality(String)) COMMENT 'order, event, session or hit: of which hits the first counts',
    ADD COLUMN IF NOT EXISTS `goals.value` Array(LowCardinality(String)) COMMENT 'event, fixed or none: where the value comes from',
    ADD COLUMN IF NOT EXISTS `goals.value_micros` Array(Nullable(Int64)),
    ADD COLUMN IF NOT EXISTS `goals.currency` Array(LowCardinality(String)) COMMENT 'of value_micros',
    ADD COLUMN IF NOT EXISTS `goals.click_window_days` Array(UInt8),
    ADD COLUMN IF NOT EXISTS `goals.view_window_days` Array(UInt8);
