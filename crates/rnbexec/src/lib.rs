//! Run Jupyter notebooks: parameterize, execute, record, save.
