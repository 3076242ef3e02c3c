-- Tables, sorts, hashes, JSON and text search in small memory; the answers are printed.
SET work_mem = '1MB';
CREATE TABLE items AS SELECT n AS id, 'item-' || (n * 7919 % 10007) AS name, n % 97 AS category,
  repeat(md5(n::text), n % 4 + 1) AS body FROM generate_series(1, 40000) AS n;
CREATE INDEX ON items (name);
ANALYZE items;
SELECT category, count(*), min(name), max(name), sum(length(body)) FROM items GROUP BY category ORDER BY category;
SELECT name, count(*) FROM items GROUP BY name ORDER BY count(*) DESC, name LIMIT 80;
SELECT a.id, b.id FROM items a JOIN items b ON a.name = b.name AND a.id < b.id ORDER BY 1, 2 LIMIT 200;
SELECT id, rank() OVER (PARTITION BY category ORDER BY body) FROM items WHERE id % 400 = 0 ORDER BY id;
SELECT jsonb_agg(jsonb_build_object('id', id, 'name', name) ORDER BY id) FROM items WHERE id <= 200;
SELECT count(*) FROM items WHERE to_tsvector('simple', name || ' ' || body) @@ to_tsquery('simple', 'item-77 | item-99');
SELECT string_agg(name, ',' ORDER BY name, id) FROM items WHERE id <= 2000;
WITH RECURSIVE walk(n, path) AS (SELECT 1, '1' UNION ALL SELECT n * 2 % 1009, path || '>' || n FROM walk WHERE length(path) < 2000)
SELECT max(length(path)), max(n) FROM walk;
DO $$ DECLARE total bigint := 0; BEGIN FOR i IN 1..100000 LOOP total := total + i % 7; END LOOP; RAISE NOTICE 'total %', total; END $$;
UPDATE items SET body = body || name WHERE category < 10;
DELETE FROM items WHERE id % 3 = 0;
VACUUM items;
SELECT count(*), sum(hashtext(body)::bigint) FROM items;
