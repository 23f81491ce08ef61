/* SPDX-License-Identifier: Apache-2.0
 * enrich/dns_wire.c - names, questions, and the frame of an answer; what is in it: dns_wire_read.c. */
#include "enrich/dns_wire.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 12, LABEL_MAX = 63, ESCAPE = 4, CLASS_IN = 1, FLAG_QR = 0x80, OPCODE = 0x78 };

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool tap_wire_name(const char *text, uint8_t out[TAP_WIRE_NAME], size_t *len_r)
{
	ldns_rdf *rdf = NULL;
	bool ok = false;

	if (text == NULL || text[0] == '\0' || strlen(text) >= TAP_DNS_NAME_TEXT)
		return false;
	if (ldns_str2rdf_dname(&rdf, text) == LDNS_STATUS_OK && rdf != NULL) {
		size_t n = ldns_rdf_size(rdf);
		const uint8_t *p = ldns_rdf_data(rdf);

		ok = n > 0 && n <= TAP_WIRE_NAME && p[n - 1] == 0;
		for (size_t i = 0; ok && i < n; i++)
			out[i] = lower(p[i]);
		*len_r = n;
	}
	ldns_rdf_deep_free(rdf);
	return ok;
}

/* One label's bytes; out has room for ESCAPE bytes each. */
static char *label_text(const uint8_t *label, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = lower(label[i]);

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
			*out++ = (char)c;
		} else {
			*out++ = '\\';
			*out++ = (char)('0' + c / 100);
			*out++ = (char)('0' + c / 10 % 10);
			*out++ = (char)('0' + c % 10);
		}
	}
	return out;
}

bool tap_wire_text(const uint8_t *name, size_t len, char out[TAP_DNS_NAME_TEXT])
{
	char *p = out;
	size_t i = 0;

	_Static_assert(TAP_WIRE_NAME * ESCAPE < TAP_DNS_NAME_TEXT, "each byte escaped must fit");
	if (len == 0 || len > TAP_WIRE_NAME)
		return false;
	while (i < len && name[i] != 0) {
		size_t n = name[i];

		if (n > LABEL_MAX || i + 1 + n >= len)
			return false;
		if (p != out)
			*p++ = '.';
		p = label_text(name + i + 1, n, p);
		i += 1 + n;
	}
	if (i + 1 != len)
		return false;
	if (p == out)
		*p++ = '.';
	*p = '\0';
	return true;
}

size_t tap_wire_build(const struct tap_wire_question *q, uint8_t out[TAP_WIRE_QUERY])
{
	ldns_rdf *name = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, q->len, q->name);
	ldns_pkt *pkt;
	uint8_t *wire = NULL;
	size_t n = 0;

	if (name == NULL)
		return 0;
	pkt = ldns_pkt_query_new(name, (ldns_rr_type)q->type, LDNS_RR_CLASS_IN, LDNS_RD);
	if (pkt == NULL) {
		ldns_rdf_deep_free(name);
		return 0;
	}
	ldns_pkt_set_id(pkt, q->id);
	if (q->edns)
		ldns_pkt_set_edns_udp_size(pkt, TAP_WIRE_UDP);
	if (ldns_pkt2wire(&wire, pkt, &n) != LDNS_STATUS_OK || n > TAP_WIRE_QUERY)
		n = 0;
	if (n > 0)
		memcpy(out, wire, n);
	free(wire);
	ldns_pkt_free(pkt);
	return n;
}

bool tap_wire_is_ours(const uint8_t *msg, size_t n, const struct tap_wire_question *q)
{
	const uint8_t *p = msg + HEADER, *tail;

	if (n < HEADER + q->len + 4 || msg[0] != q->id >> 8 || msg[1] != (q->id & 0xff))
		return false;
	if ((msg[2] & FLAG_QR) == 0 || (msg[2] & OPCODE) != 0 || msg[4] != 0 || msg[5] != 1)
		return false;
	for (size_t i = 0; i < q->len; i++) {
		if (lower(p[i]) != q->name[i])
			return false;
	}
	tail = p + q->len;
	return tail[0] == q->type >> 8 && tail[1] == (q->type & 0xff) && tail[2] == 0 &&
	       tail[3] == CLASS_IN;
}
