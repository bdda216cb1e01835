//! What goes through a container's network interfaces.

use serde::Serialize;

use crate::procfs;

/// The traffic of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkInterface {
    /// Its name in the container.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets received with errors.
    pub rx_errors: u64,
    /// Packets that were received and dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Errors while sending.
    pub tx_errors: u64,
    /// Packets that were dropped in place of being sent.
    pub tx_dropped: u64,
}

/// The interfaces in a process's network namespace; none where the process has gone.
pub(super) fn interfaces_of(pid: i32) -> Option<Vec<NetworkInterface>> {
    let table = procfs::read(&format!("{pid}/net/dev")).ok()?;
    Some(table.lines().filter_map(interface).collect())
}

/// One line of the kernel's table, `NAME: ` and 16 figures: eight received, eight sent. The two lines of its head have no
/// such figures.
fn interface(line: &str) -> Option<NetworkInterface> {
    let (name, figures) = line.rsplit_once(':')?;
    let figures: Vec<u64> = figures.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
    let [
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = figures[..]
    else {
        return None;
    };
    let name = name.trim().to_owned();
    Some(NetworkInterface {
        name,
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table() {
        const TABLE: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     168       2    0    0    0     0          0         0      168       2    0    0    0     0       0          0
  eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
";
        let found: Vec<_> = TABLE.lines().filter_map(interface).collect();
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["lo", "eth0"]);
        assert_eq!((found[0].rx_bytes, found[0].tx_packets), (168, 2));
        let eth0 = &found[1];
        assert_eq!([eth0.rx_bytes, eth0.rx_packets, eth0.rx_errors, eth0.rx_dropped], [1, 2, 3, 4]);
        assert_eq!([eth0.tx_bytes, eth0.tx_packets, eth0.tx_errors, eth0.tx_dropped], [9, 10, 11, 12]);
    }
}
