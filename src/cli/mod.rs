pub mod data_features;
