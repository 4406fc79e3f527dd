-- Run once, by the Postgres image, when its volume is empty. The image itself makes `strikeflow`.
-- Prefect has its own database: its retention and migrations never touch what we promise to remember.
CREATE DATABASE prefect OWNER strikeflow;
