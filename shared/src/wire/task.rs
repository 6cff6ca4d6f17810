//! What a task may touch, on the wire.

use checkrein_proto::task::v1 as wire;

use crate::grant::{DataScope, InvalidData};

impl From<&DataScope> for wire::DataScope {
    fn from(data: &DataScope) -> Self {
        Self {
            labels: data.labels().map(str::to_owned).collect(),
        }
    }
}

impl TryFrom<wire::DataScope> for DataScope {
    type Error = InvalidData;

    fn try_from(data: wire::DataScope) -> Result<Self, InvalidData> {
        Self::parse(data.labels)
    }
}
