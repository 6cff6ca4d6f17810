-- How rare a rule is that decides once in ten thousand times: an ordinary sample of a day misses it, and a search for it would walk along
-- the time instead of the index of rules. Partitions that are made later get the same.

ALTER TABLE decision ALTER COLUMN rules SET STATISTICS 1000;
