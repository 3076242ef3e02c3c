-- Tables, indexes, window functions, JSON and full-text search; the answers are printed.
PRAGMA page_size = 4096;
PRAGMA cache_size = -4000;
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, category INTEGER, body TEXT);
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 60000)
INSERT INTO items SELECT n, 'item-' || (n * 7919 % 10007), n * 0.25, n % 97, substr(hex(n * 48271), 1, n % 12) || printf('%0*d', n % 60 + 1, n) FROM numbers;
CREATE INDEX by_name ON items (name, price);
CREATE INDEX by_category ON items (category) WHERE price > 100;
SELECT category, count(*), round(sum(price), 2), min(name), max(name) FROM items GROUP BY category ORDER BY category;
SELECT name, count(*) AS c FROM items GROUP BY name HAVING c > 5 ORDER BY c DESC, name LIMIT 100;
SELECT id, name, rank() OVER (PARTITION BY category ORDER BY price DESC) AS r, sum(price) OVER (ORDER BY id ROWS 10 PRECEDING) FROM items WHERE id % 500 = 0 ORDER BY id;
SELECT json_group_array(json_object('id', id, 'name', name)) FROM items WHERE id < 200;
UPDATE items SET body = body || name WHERE category IN (SELECT category FROM items WHERE id % 1000 = 1);
DELETE FROM items WHERE id % 3 = 0;
VACUUM;
SELECT a.id, b.id FROM items a JOIN items b ON a.name = b.name AND a.id < b.id WHERE a.category = 5 ORDER BY 1, 2 LIMIT 300;
CREATE VIRTUAL TABLE texts USING fts5(body);
INSERT INTO texts SELECT 'the ' || name || ' of ' || category || ' in ' || body FROM items LIMIT 10000;
SELECT count(*) FROM texts WHERE texts MATCH 'item NEAR of';
SELECT rowid, body FROM texts WHERE texts MATCH '"in" AND "37"' ORDER BY rowid LIMIT 50;
SELECT name FROM items WHERE name LIKE '%99%' ORDER BY name DESC, id LIMIT 60;
PRAGMA integrity_check;
SELECT count(*), total(length(body)), sum(id * category) FROM items;
