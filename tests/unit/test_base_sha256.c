/* SPDX-License-Identifier: Apache-2.0 */
#include "base_helper.h"

#include "base/sha256.h"

static void hex_of(const char *text, size_t n, size_t step, char hex[TAP_SHA256_HEX])
{
	struct tap_sha256 c;
	unsigned char sum[TAP_SHA256_BYTES];

	tap_sha256_init(&c);
	for (size_t at = 0; at < n; at += step)
		tap_sha256_update(&c, text + at, step < n - at ? step : n - at);
	tap_sha256_update(&c, NULL, 0);
	tap_sha256_final(&c, sum);
	tap_hex(sum, sizeof sum, hex);
}

/* FIPS 180-4's examples. */
static void known(void **state)
{
	static const struct {
		const char *text, *sum;
	} rows[] = {
	    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	char hex[TAP_SHA256_HEX];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t step = 1; step < 64; step++) {
			hex_of(rows[i].text, strlen(rows[i].text), step, hex);
			assert_string_equal(hex, rows[i].sum);
		}
	}
	char *a = malloc(1000000);
	assert_non_null(a);
	memset(a, 'a', 1000000);
	hex_of(a, 1000000, 999, hex);
	assert_string_equal(hex,
			    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(a);
}

static void hex(void **state)
{
	char out[9];

	(void)state;
	tap_hex((const unsigned char *)"\x00\x0f\xf0\xff", 4, out);
	assert_string_equal(out, "000ff0ff");
	tap_hex(NULL, 0, out);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(known), cmocka_unit_test(hex)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
