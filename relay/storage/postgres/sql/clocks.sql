-- name: note_time
INSERT INTO meta (name, value) VALUES ('noted_at', %(now)s), ('noted_wall', %(wall)s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;
