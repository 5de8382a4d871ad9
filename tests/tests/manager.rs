//! The manager against the simulated Azure: what an incident goes through, and what becomes of it.

mod manager {
    mod auth;
    mod blob;
    mod blog;
    mod crash;
    mod defects;
    mod faults;
    mod hostile;
    mod isolation;
    mod plan;
    mod policy;
    mod sources;
    mod twice;
    mod way;
    mod workers;
}
