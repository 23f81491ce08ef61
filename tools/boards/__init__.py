# SPDX-License-Identifier: Apache-2.0
"""The dashboards for Kibana, OpenSearch Dashboards, Splunk and Grafana: panels.py is the table of what they show, the others write it down."""
