create table threads (
    id text primary key,
    opened_by text not null,
    updated integer not null,
    data text not null
) strict;
create index threads_by_time on threads (updated);

create table messages (
    thread text not null,
    id integer not null,
    data text not null,
    primary key (thread, id)
) strict, without rowid;

create table changes (
    id text primary key,
    thread text not null,
    open integer not null,
    created integer not null,
    version integer not null,
    data text not null
) strict;
create index changes_by_thread on changes (thread, created);
create index changes_open on changes (open, created);

create table audit (
    seq integer primary key autoincrement,
    change text,
    data text not null
) strict;
create index audit_by_change on audit (change, seq);
create trigger audit_is_append_only_update before update on audit
begin select raise(abort, 'the audit log is append-only'); end;
create trigger audit_is_append_only_delete before delete on audit
begin select raise(abort, 'the audit log is append-only'); end;
