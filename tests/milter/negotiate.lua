-- SPDX-License-Identifier: Apache-2.0
-- T-MI-1: what the filter asks for, given what is offered. Given: socket, version, actions, steps (decimal). Prints the names of what was
-- asked for.
local conn = mt.connect(socket)
if conn == nil then error("no connection") end
-- The manual of miltertest names the actions first; what it sends (2.11) is the other way round.
local wrong = mt.negotiate(conn, tonumber(version), tonumber(steps), tonumber(actions))
if wrong ~= nil then error(wrong) end
local asked = {}
local function look(test, name, bit)
	if test(conn, bit) then table.insert(asked, name) end
end
look(mt.test_action, "ADDHDRS", SMFIF_ADDHDRS)
look(mt.test_action, "CHGBODY", SMFIF_CHGBODY)
look(mt.test_action, "ADDRCPT", SMFIF_ADDRCPT)
look(mt.test_action, "DELRCPT", SMFIF_DELRCPT)
look(mt.test_action, "CHGHDRS", SMFIF_CHGHDRS)
look(mt.test_action, "QUARANTINE", SMFIF_QUARANTINE)
look(mt.test_option, "NOCONNECT", SMFIP_NOCONNECT)
look(mt.test_option, "NOHELO", SMFIP_NOHELO)
look(mt.test_option, "NOMAIL", SMFIP_NOMAIL)
look(mt.test_option, "NORCPT", SMFIP_NORCPT)
look(mt.test_option, "NOBODY", SMFIP_NOBODY)
look(mt.test_option, "NOHDRS", SMFIP_NOHDRS)
look(mt.test_option, "NOUNKNOWN", SMFIP_NOUNKNOWN)
look(mt.test_option, "NODATA", SMFIP_NODATA)
look(mt.test_option, "SKIP", SMFIP_SKIP)
look(mt.test_option, "RCPT_REJ", SMFIP_RCPT_REJ)
look(mt.test_option, "NR_HDR", SMFIP_NR_HDR)
look(mt.test_option, "HDR_LEADSPC", SMFIP_HDR_LEADSPC)
print(table.concat(asked, " "))
mt.disconnect(conn)
