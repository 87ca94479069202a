"""What leaves the patient's own hands, and who opened it.

A share is a SMART Health Link (https://docs.smarthealthit.org/smart-health-links): the address that reaches us holds
256 random bits, the key stands behind `#` and never reaches us from a browser. What a share shows is decided at each
opening by `access.share_scope`: what is hidden, unlinked or held by then is in no older share either.

    links      addresses, keys, passcodes: how a link is written       sealing   the document as JWE
    content    which part of the record a share shows                  shares    made, ended, listed
    opening    somebody opens one: counted, guarded, written down
"""
