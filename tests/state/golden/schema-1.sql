PRAGMA application_id=1129140819;
BEGIN TRANSACTION;
CREATE TABLE deployments (
        project TEXT NOT NULL REFERENCES projects (name),
        id TEXT NOT NULL,
        model TEXT NOT NULL,
        name TEXT NOT NULL,
        active INTEGER NOT NULL,
        body TEXT NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (project, id)
    );
INSERT INTO "deployments" VALUES('demo','01J00000000000000000000001','llm','demo-llm-1',0,'{"v":1,"deployment":{"id":"01J00000000000000000000001","lineage":"3f1d8c52-7f0e-4a57-9c0b-5a2b6b1f9d10","project":"demo","model":"llm","name":"demo-llm-1","spec":{"model":"ai/smollm2","context_size":4096,"runtime_flags":["--temp","0.1"],"options":{"cloud.platform":"aws-sagemaker"}},"handle":{"arn":"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/demo-llm-1"}},"driver":"aws-sagemaker","naming_version":1,"intent":"delete","phase":"deleting","detail":"being deleted","endpoint":{"url":"https://runtime.example/v1/","model_id":"m","auth":"api-key","key_file":"/keys/1"},"adopted":true,"created_at":"2026-05-04T12:00:00+00:00","phase_since":"2026-05-04T12:00:30+00:00","issued_at":"2026-05-04T12:00:31+00:00","ready_at":"2026-05-04T12:01:00+00:00","retired_at":"2026-05-04T12:02:00+00:00","failure":"throttled","request_open":true,"applied_digest":"630158c3b8fe","next_call_at":"2026-05-04T12:03:00+00:00","failed_calls":3}',2011575293);
INSERT INTO "deployments" VALUES('demo','01J00000000000000000000002','llm','demo-llm-2',1,'{"v":1,"deployment":{"id":"01J00000000000000000000002","lineage":"3f1d8c52-7f0e-4a57-9c0b-5a2b6b1f9d10","project":"demo","model":"llm","name":"demo-llm-2","spec":{"model":"ai/smollm2"}},"driver":"llamacpp","naming_version":1,"intent":"create","phase":"ready","endpoint":{"url":"http://127.0.0.1:8080/v1/","model_id":"ai/smollm2","on_this_host":true},"active":true,"created_at":"2026-05-04T12:00:00+00:00","phase_since":"2026-05-04T12:00:00+00:00"}',3177479970);
CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        project TEXT NOT NULL REFERENCES projects (name),
        body TEXT NOT NULL,
        crc INTEGER NOT NULL
    );
INSERT INTO "events" VALUES(1,'demo','{"v":1,"at":"2026-05-04T12:00:00+00:00","kind":"switched","model":"llm","deployment":"01J00000000000000000000002","text":"1 \u2192 2, \u00fc","revision":"9fceb02"}',464748122);
CREATE TABLE meta (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        lineage TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        serial INTEGER NOT NULL
    );
INSERT INTO "meta" VALUES(1,'3f1d8c52-7f0e-4a57-9c0b-5a2b6b1f9d10',1,1);
CREATE TABLE models (
        project TEXT NOT NULL REFERENCES projects (name),
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (project, key)
    );
INSERT INTO "models" VALUES('demo','llm','{"v":1,"key":"llm","protected":true,"attempts":2,"attempts_digest":"0123456789ab","next_try_at":"2026-05-04T12:00:01+00:00","halted":"three attempts failed","missing_since":"2026-05-04T12:00:02+00:00","missing_reads":2,"removal_confirmed_at":"2026-05-04T12:00:03+00:00"}',1169699301);
CREATE TABLE outputs (
        project TEXT NOT NULL REFERENCES projects (name),
        path BLOB NOT NULL,
        body TEXT NOT NULL,
        crc INTEGER NOT NULL,
        PRIMARY KEY (project, path)
    );
INSERT INTO "outputs" VALUES('demo',X'2F7372762F636F6D706F73652E6D6F64656C732E79616D6C','{"v":1,"path":"/srv/compose.models.yaml","checksum":"0000000000000000000000000000000000000000000000000000000000000000","written_at":"2026-05-04T12:00:00+00:00","applied":"1111111111111111111111111111111111111111111111111111111111111111"}',2508730246);
CREATE TABLE projects (
        name TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        newest_id TEXT NOT NULL DEFAULT '',
        holder TEXT,
        held_since TEXT,
        boot_id TEXT,
        expires_since_boot REAL
    );
INSERT INTO "projects" VALUES('demo',8,'01J00000000000000000000002','host-a/1','2026-05-04T12:16:40+00:00','boot-1',1060.0);
CREATE TABLE sources (
        project TEXT PRIMARY KEY REFERENCES projects (name),
        body TEXT NOT NULL,
        crc INTEGER NOT NULL
    );
INSERT INTO "sources" VALUES('demo','{"v":1,"revision":"9fceb02d","digest":"0000000000000000000000000000000000000000000000000000000000000000","read_at":"2026-05-04T12:00:00+00:00","models":["llm","embed"]}',3489286544);
CREATE UNIQUE INDEX one_active ON deployments (project, model) WHERE active = 1;
CREATE UNIQUE INDEX one_name ON deployments (name);
CREATE INDEX events_of ON events (project, seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',1);
COMMIT;
