-- oldest consumer: 1
-- Who is in which segment, and why: docs/audiences.md, Membership. The text of the queries is that of services/shared/segments, which the
-- preview of a rule uses too.

-- The segments of all sites as they hold now.
CREATE VIEW IF NOT EXISTS {{.Database}}.active_segments {{.OnCluster}} AS
{{.ActiveSegments}};

--   SELECT * FROM audience_members(site = 'shop', segment = 'cart_abandoners', at = '2026-11-30 12:00:00')
CREATE VIEW IF NOT EXISTS {{.Database}}.audience_members {{.OnCluster}} AS
{{.AudienceMembers}};

--   SELECT * FROM audiences_of(site = 'shop', visitors = ['0190b5ad-…'])
CREATE VIEW IF NOT EXISTS {{.Database}}.audiences_of {{.OnCluster}} AS
{{.AudiencesOf}};

--   SELECT * FROM audience_sizes(site = 'shop', segment = 'cart_abandoners', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.audience_sizes {{.OnCluster}} AS
{{.AudienceSizes}};

-- What retargeting brings: docs/audiences.md, Lift.
--   SELECT * FROM retargeting_lift(site = 'shop', segment = 'cart_abandoners', from = '2026-11-01', to = '2026-11-30', goal = 'purchase')
CREATE VIEW IF NOT EXISTS {{.Database}}.retargeting_lift {{.OnCluster}} AS
{{.RetargetingLift}};

-- What a visitor did in a segment, and what each hit is worth for the membership.
--   SELECT * FROM audience_explained(site = 'shop', segment = 'cart_abandoners', visitor = '0190b5ad-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.audience_explained {{.OnCluster}} AS
{{.AudienceExplained}};
