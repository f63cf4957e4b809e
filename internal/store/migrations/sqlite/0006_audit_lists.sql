-- +goose Up

-- Lists of audit entries are ordered by time, and narrowed by one of these. (The table's own key, chain
-- and number, settles ties and needs no place in an index here.)
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_chain ON audit (chain, time);
CREATE INDEX audit_target ON audit (target, time);
CREATE INDEX audit_actor ON audit (actor_id, time);
CREATE INDEX audit_action ON audit (action, time);
