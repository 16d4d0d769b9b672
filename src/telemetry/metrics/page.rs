//! A page of metrics that is being written.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::model::name::ClusterId;
use crate::telemetry::histogram::HistogramSnapshot;

/// A page that is being written.
pub(super) struct Page<'e>(pub(super) DescriptorEncoder<'e>);

/// A name and what it means.
pub(super) type Title = (&'static str, &'static str);

impl Page<'_> {
    fn begin(&mut self, title: Title, kind: MetricType) -> Result<MetricEncoder<'_>, fmt::Error> {
        let (name, help) = title;
        self.0.encode_descriptor(name, help, None, kind)
    }

    pub(super) fn gauge<N>(&mut self, title: Title, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let metric = self.begin(title, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    pub(super) fn counter(&mut self, title: Title, value: u64) -> fmt::Result {
        let metric = self.begin(title, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    pub(super) fn counters(
        &mut self,
        title: Title,
        label: &'static str,
        counts: &[(&'static str, u64)],
    ) -> fmt::Result {
        let counts = counts
            .iter()
            .map(|(value, count)| ([(label, *value)], *count));
        self.counter_family(title, counts)
    }

    /// Counters that have labels in common.
    pub(super) fn counter_family<L: EncodeLabelSet>(
        &mut self,
        title: Title,
        counts: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.begin(title, MetricType::Counter)?;
        for (labels, count) in counts {
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Gauges that have labels in common.
    pub(super) fn gauge_family<L: EncodeLabelSet, N>(
        &mut self,
        title: Title,
        values: impl Iterator<Item = (L, N)>,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let mut metric = self.begin(title, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn counters_of_peers<'p>(
        &mut self,
        title: Title,
        peers: impl Iterator<Item = (&'p ClusterId, &'p Vec<(&'static str, u64)>)>,
    ) -> fmt::Result {
        let counts = peers.flat_map(|(peer, counts)| {
            let labels = move |outcome| [("peer", peer.as_str()), ("outcome", outcome)];
            counts
                .iter()
                .map(move |(outcome, count)| (labels(*outcome), *count))
        });
        self.counter_family(title, counts)
    }

    pub(super) fn of_peers<'p, N>(
        &mut self,
        title: Title,
        values: impl Iterator<Item = (&'p ClusterId, N)>,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        self.gauge_family(
            title,
            values.map(|(peer, value)| ([("peer", peer.as_str())], value)),
        )
    }

    pub(super) fn histogram(&mut self, title: Title, of: &HistogramSnapshot) -> fmt::Result {
        let mut metric = self.begin(title, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(of.sum, of.count, &of.buckets, None)
    }
}
