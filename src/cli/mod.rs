pub mod data_inspect;
