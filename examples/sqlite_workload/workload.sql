-- A shop's database that lives in memory: loaded, indexed, queried, changed, partly dropped, and audited.
--
--   sqlite3 :memory: < workload.sql
--
-- The same calls in the same order on every run: figures come from the row number by a multiplicative hash, never from
-- a clock or random(). Each phase leaves its mark on memory; README.md says what to expect of each.

PRAGMA temp_store = memory;
PRAGMA cache_size = -400000;
.param init
.param set :rows 240000

-- Phase 1: load. Memory grows row by row.
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, city TEXT, joined INTEGER);
CREATE TABLE product(id INTEGER PRIMARY KEY, title TEXT, description TEXT, price INTEGER);
CREATE TABLE purchase(id INTEGER PRIMARY KEY, customer INTEGER, day INTEGER, state TEXT);
CREATE TABLE line(purchase INTEGER, product INTEGER, quantity INTEGER, note TEXT);

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows / 4)
INSERT INTO customer
SELECT i, 'Customer ' || printf('%08d', i * 7919 % 99999989), 'City ' || (i * 31 % 211), i * 13 % 3650 FROM n;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows / 10)
INSERT INTO product
SELECT i, 'Product ' || printf('%08X', i * 2654435761 % 4294967296),
       substr('A thing of good make, of oak or brass or wool, sold by weight or by the piece, and kept for long. ', 1 + i % 40, 20 + i % 60),
       100 + i * 2654435761 % 9900
FROM n;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO purchase
SELECT i, 1 + i * 2654435761 % (:rows / 4), i % 365, CASE i % 7 WHEN 0 THEN 'open' WHEN 1 THEN 'returned' ELSE 'closed' END FROM n;

INSERT INTO line
SELECT p.id, 1 + (p.id * 40503 + k.i * 7919) % (:rows / 10), 1 + (p.id + k.i) % 9,
       CASE WHEN (p.id + k.i) % 5 = 0 THEN 'wrapped, with a card for ' || p.customer END
FROM purchase AS p, (SELECT 1 AS i UNION ALL SELECT 2 UNION ALL SELECT 3) AS k;

-- Phase 2: index. Sorting takes memory for a while and gives it back.
CREATE INDEX purchase_customer ON purchase(customer, day);
CREATE INDEX line_purchase ON line(purchase);
CREATE INDEX line_product ON line(product, quantity);
CREATE INDEX customer_city ON customer(city, name);

-- Phase 3: query. Many small, short-lived blocks.
SELECT 'cities', count(*), sum(spent) FROM (
  SELECT c.city, sum(l.quantity * d.price) AS spent
  FROM line AS l JOIN purchase AS p ON p.id = l.purchase JOIN customer AS c ON c.id = p.customer JOIN product AS d ON d.id = l.product
  WHERE p.state = 'closed' GROUP BY c.city);
SELECT 'best sellers', group_concat(title, ', ') FROM (
  SELECT d.title FROM line AS l JOIN product AS d ON d.id = l.product GROUP BY d.id ORDER BY sum(l.quantity) DESC, d.id LIMIT 5);
SELECT 'running totals', sum(total) FROM (
  SELECT sum(l.quantity) OVER (PARTITION BY p.customer ORDER BY p.day, p.id ROWS 3 PRECEDING) AS total
  FROM purchase AS p JOIN line AS l ON l.purchase = p.id);
SELECT 'documents', count(*), sum(length(document)) FROM (
  SELECT json_group_array(json_object('day', day, 'state', state, 'id', id)) AS document FROM purchase GROUP BY customer);
SELECT 'words', count(DISTINCT upper(title) || ' ' || replace(description, ' of ', ' OF ')) FROM product;

-- Phase 4: change. Rows grow and shrink in place, pages split and merge.
UPDATE line SET note = coalesce(note, '') || ' checked on day ' || (purchase % 365) WHERE purchase % 3 = 0;
UPDATE product SET price = price + price / 10 WHERE id % 4 = 0;
DELETE FROM line WHERE purchase IN (SELECT id FROM purchase WHERE state = 'returned');
DELETE FROM purchase WHERE state = 'returned';
CREATE TABLE summary AS
SELECT p.customer, p.day / 30 AS month, sum(l.quantity * d.price) AS spent, count(*) AS lines
FROM purchase AS p JOIN line AS l ON l.purchase = p.id JOIN product AS d ON d.id = l.product GROUP BY 1, 2;

-- Phase 5: drop. Most of the database goes; VACUUM rewrites what is left and frees the pages beyond it.
DROP INDEX line_product;
DROP TABLE line;
DROP TABLE product;
VACUUM;

-- Phase 6: audit. A log grows where that was, and is kept to the end with the summary and the customers.
CREATE TABLE audit(id INTEGER PRIMARY KEY, subject TEXT, payload BLOB);
CREATE TRIGGER on_summary AFTER UPDATE ON summary BEGIN
  INSERT INTO audit(subject, payload) VALUES ('customer ' || new.customer, zeroblob(40 + new.month * 8));
END;
UPDATE summary SET spent = spent * 2 WHERE month % 2 = 0;
CREATE INDEX audit_subject ON audit(subject);

SELECT 'kept', (SELECT count(*) FROM customer), (SELECT count(*) FROM purchase), (SELECT count(*) FROM summary),
       (SELECT count(*) FROM audit), (SELECT sum(length(payload)) FROM audit);
