//! Every notebook here goes through papermill 2.7.0 and through rnbexec with one command line, and the results agree in exit
//! code, files, cells, sources, outputs, counts and metadata, save the differences that a case names.

mod command_line;
mod documents;
mod execution;
mod files;
mod outputs;
mod parameters;
