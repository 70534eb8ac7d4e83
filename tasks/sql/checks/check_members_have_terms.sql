-- A VPP has terms on every day on which a site is its member.
select
    site_days.vpp,
    site_days.nmi,
    site_days.day
from site_days
anti join vpp_days
    on site_days.vpp = vpp_days.vpp and site_days.day = vpp_days.day
