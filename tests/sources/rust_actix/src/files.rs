use std::{fs, io::Write};

pub fn read(id: u32) -> String {
    fs::read_to_string(format!("items/{id}")).unwrap_or_default()
}

pub async fn put() {
    let mut file = fs::File::create("thing").unwrap();
    for byte in 0..100u8 {
        file.write(&[byte]).unwrap();
        file.sync_all().unwrap();
    }
}
