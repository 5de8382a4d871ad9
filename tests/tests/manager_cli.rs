//! The manager's command line on a folder of recorded incidents: what it says, what it writes, how it ends, and that nothing is
//! lost or doubled however it ends.

mod manager_cli {
    mod canary;
    mod demo;
    mod doctor;
    mod dry;
    mod pass;
    mod together;
    mod world;
}
