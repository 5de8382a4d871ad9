//! The manager against the simulated Azure: what an incident goes through, and what becomes of it.

mod manager {
    mod blob;
    mod blog;
    mod crash;
    mod twice;
    mod way;
    mod workers;
}
